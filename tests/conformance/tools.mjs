// Where `tests/setup.sh` put what the suites need. Each folder's name carries the hash of the lock
// file it was installed from, so that another version of the tree gets its own.

import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = dirname(fileURLToPath(import.meta.url));
const CACHE = process.env.WHARF_CACHE ?? join(homedir(), '.cache', 'wharf');

export const python3 = () => installed('python3', 'requirements.txt', 'bin/python');
export const python2 = () => installed('python2', 'requirements-python2.txt', 'bin/python');
export const autobahn = () => installed('python2', 'requirements-python2.txt', 'site');

function installed(name, lock, path) {
  const hash = createHash('sha256')
    .update(readFileSync(join(HERE, lock)))
    .digest('hex');
  const full = join(CACHE, `${name}-${hash.slice(0, 12)}`, path);
  if (!existsSync(full)) {
    throw new Error(`${name} is not set up for this tree: run tests/setup.sh`);
  }
  return full;
}
