/** Links that go to another page of the console without loading it anew. */
import Link, { type LinkProps } from "@cloudscape-design/components/link";
import type { ReactNode } from "react";
import { useHref, useNavigate } from "react-router";

/** Goes to a page of the console. */
export function useGo(): (to: string) => void {
  const navigate = useNavigate();
  return (to) => void navigate(to);
}

export function PageLink({
  to,
  children,
  ...rest
}: { to: string; children: ReactNode } & LinkProps): ReactNode {
  const go = useGo();
  return (
    <Link
      {...rest}
      href={useHref(to)}
      onFollow={(event) => {
        event.preventDefault();
        go(to);
      }}
    >
      {children}
    </Link>
  );
}

/** For components of the design system that take `href` and `onFollow`. */
export function useFollow(): (event: {
  preventDefault(): void;
  detail: { href?: string; external?: boolean };
}) => void {
  const go = useGo();
  return (event) => {
    const { href, external } = event.detail;
    if (href === undefined || external === true) return;
    event.preventDefault();
    go(href.replace(/^\/console(?=\/|$)/, "") || "/");
  };
}
