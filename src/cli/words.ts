/** Errors of the system in words for people: what could not be done with which file, and why. */

const REASONS: Readonly<Record<string, string>> = {
  EACCES: "this user may not do that there",
  EPERM: "this user may not do that there",
  ENOENT: "there is no such file or folder",
  ENOTDIR: "a part of the path is no folder",
  EISDIR: "it is a folder",
  EROFS: "the file system is read-only",
  ENOSPC: "the file system is full",
  EDQUOT: "the quota is used up",
  EFBIG: "the file system takes no file so large",
  EMFILE: "too many files are open (see ulimit -n)",
  ENOTEMPTY: "it is not empty",
  EEXIST: "it is there already",
  EIO: "the disk gives an error",
};

/** The message of an error: in our words where it is the system's. */
export function wordsFor(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code, path, syscall } = error as NodeJS.ErrnoException;
  const reason = syscall === undefined ? undefined : REASONS[code ?? ""];
  if (reason === undefined) return error.message;
  return `${path ?? syscall}: ${reason} (${code})`;
}
