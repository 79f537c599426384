import Modal, { type ModalProps } from "@cloudscape-design/components/modal";
import { type ReactNode, useEffect, useRef, useState } from "react";

/** What somebody types into; what is chosen from is looked at first. */
const FIELDS = "input:not([type=radio], [type=checkbox]), textarea";

/** A modal whose first field has the focus, and which gives it back to what had it before, however it is closed. */
export function Dialog({ children, ...rest }: Omit<ModalProps, "visible">): ReactNode {
  const [before] = useState(() => document.activeElement);
  const content = useRef<HTMLDivElement>(null);
  useEffect(() => {
    // After the design system, which has its own mind: the button that closes.
    const frame = requestAnimationFrame(() => content.current?.querySelector<HTMLElement>(FIELDS)?.focus());
    return () => {
      cancelAnimationFrame(frame);
      // What has gone from the page can't have it.
      requestAnimationFrame(() => {
        if (document.activeElement === document.body && before instanceof HTMLElement) before.focus();
      });
    };
  }, [before]);
  return (
    <Modal visible {...rest}>
      <div ref={content}>{children}</div>
    </Modal>
  );
}
