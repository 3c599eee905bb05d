// Owns finding source files by how their path ends.

/**
 * Paths of the files below a folder whose path ends in `ending`, relative to `root` and sorted.
 * @param root the repository's folder, as a file URL ending in a slash
 */
export function findFiles(root: URL, folder: string, ending: string): string[] {
  const found: string[] = [];
  for (const entry of Deno.readDirSync(new URL(`${folder}/`, root))) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) found.push(...findFiles(root, path, ending));
    else if (path.endsWith(ending)) found.push(path);
  }
  return found.sort();
}
