/**
 * The launcher (bin/node24.js) runs the gateway as its child. Its SIGTERM and SIGINT reach the gateway; a SIGKILL
 * can't. So it keeps one end of a pipe open, and the other end here sees when the launcher is gone.
 */
import { Socket } from "node:net";

/** Calls `onCut` when the launcher has ended. Does nothing where there is no launcher. */
export function watchLifeline(onCut: () => void): void {
  const text = process.env.SLUICEGATE_LIFELINE_FD;
  if (text === undefined) return;
  const lifeline = new Socket({ fd: Number(text), readable: true, writable: false });
  lifeline.on("error", onCut).on("close", onCut).resume().unref();
}
