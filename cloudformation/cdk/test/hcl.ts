// Prints the Terraform files that it is given as one JSON object, by their names.

import { readFileSync } from 'node:fs';
import * as path from 'node:path';
import { parse } from '@cdktf/hcl2json';

async function main(): Promise<void> {
  const files: { [name: string]: unknown } = {};
  for (const file of process.argv.slice(2)) {
    files[path.basename(file)] = await parse(file, readFileSync(file, 'utf8'));
  }
  process.stdout.write(JSON.stringify(files));
}

void main();
