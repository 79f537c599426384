/** The test files under `folder` (a path from the root), sorted, as paths from the root. */
export function testFiles(folder: string): string[];
