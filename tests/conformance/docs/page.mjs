// A page of documentation as its fenced code blocks. Each must be taken by a check, so that nothing
// that a reader might copy goes untried.

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');

export class Page {
  constructor(path) {
    this.path = path;
    this.text = readFileSync(join(ROOT, path), 'utf8');
    this.blocks = blocks(this.text);
  }

  /** The next block of `language` that nobody took, below a paragraph or heading that has `lead`. */
  take(language, lead) {
    const block = this.blocks.find(
      each => !each.taken && each.language === language && each.lead.includes(lead),
    );
    if (!block) {
      throw new Error(`${this.path} has no block of ${language || 'no language'} below "${lead}"`);
    }
    block.taken = true;
    return block.code;
  }

  /** The check that there is a check for each block. */
  get complete() {
    return [
      'every block has its check',
      async () => {
        const left = this.blocks.filter(block => !block.taken).map(block => block.line);
        if (left.length > 0) {
          throw new Error(`write checks for the blocks of ${this.path} that begin at line ${left}`);
        }
      },
    ];
  }
}

/** A block right below another one has the same lead. */
function blocks(text) {
  const found = [];
  let lead = '';
  let block;
  for (const [at, line] of text.split('\n').entries()) {
    const fence = line.match(/^```(.*)$/);
    if (block && fence) {
      found.push(block);
      block = undefined;
    } else if (block) {
      block.code += `${line}\n`;
    } else if (fence) {
      block = { language: fence[1], lead, line: at + 1, code: '' };
      // What comes below is another paragraph, unless it is another block.
      lead = `${lead}\n`;
    } else if (line.trim() !== '') {
      lead = lead.endsWith('\n') ? line : `${lead} ${line}`;
    } else if (!lead.endsWith('\n')) {
      lead = `${lead}\n`;
    }
  }
  return found;
}
