/** Makes the Debian package of this machine's architecture in `outFolder`, and gives its path. */
export function makePackage(outFolder: string): string;
