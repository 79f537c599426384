/** What the console tells at the top of the page: what was done, and what was refused. */
import Flashbar, { type FlashbarProps } from "@cloudscape-design/components/flashbar";
import { createContext, type ReactNode, useCallback, useContext, useMemo, useState } from "react";
import { messageOf } from "../api/clients.ts";

interface Notice {
  readonly id: string;
  readonly type: "success" | "error" | "info";
  readonly header: string;
  readonly content?: ReactNode;
}

interface Notices {
  readonly items: readonly FlashbarProps.MessageDefinition[];
  succeeded(header: string, content?: ReactNode): void;
  failed(header: string, error: unknown): void;
}

const NOTICES_MAX = 5;
const Context = createContext<Notices | undefined>(undefined);

export function NoticesProvider({ children }: { children: ReactNode }): ReactNode {
  const [notices, setNotices] = useState<readonly Notice[]>([]);
  const add = useCallback((notice: Omit<Notice, "id">) => {
    const id = `${Date.now()}-${Math.random()}`;
    setNotices((before) => [{ ...notice, id }, ...before].slice(0, NOTICES_MAX));
  }, []);
  const value = useMemo<Notices>(
    () => ({
      items: notices.map((notice) => ({
        ...notice,
        dismissible: true,
        dismissLabel: "Dismiss",
        onDismiss: () => setNotices((before) => before.filter(({ id }) => id !== notice.id)),
      })),
      succeeded: (header, content) => add({ type: "success", header, content }),
      failed: (header, error) => add({ type: "error", header, content: messageOf(error) }),
    }),
    [notices, add],
  );
  return <Context.Provider value={value}>{children}</Context.Provider>;
}

export function useNotices(): Notices {
  const notices = useContext(Context);
  if (notices === undefined) throw new Error("useNotices outside of NoticesProvider");
  return notices;
}

export function NoticesBar(): ReactNode {
  return <Flashbar items={[...useNotices().items]} stackItems />;
}
