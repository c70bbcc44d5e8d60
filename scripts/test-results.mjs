// Reads what vitest's JSON reporter wrote: test-results.mjs counts|failures|files FILE [SECOND]
// Files that are in SECOND, too, have its results in place of their own.
import { readFileSync } from 'node:fs';
import { relative } from 'node:path';

const [, , what, ...paths] = process.argv;
const files = new Map();
for (const path of paths)
	for (const file of JSON.parse(readFileSync(path, 'utf8')).testResults) files.set(relative('.', file.name), file);

const print = {
	/** "passed failed skipped". */
	counts() {
		const counts = { passed: 0, failed: 0, skipped: 0 };
		for (const { status, assertionResults } of files.values()) {
			for (const test of assertionResults) counts[test.status in counts ? test.status : 'skipped']++;
			// A file that cannot be loaded, or set up, has no failed test in it, and yet it failed.
			if (status === 'failed' && !assertionResults.some((test) => test.status === 'failed')) counts.failed++;
		}
		console.log(counts.passed, counts.failed, counts.skipped);
	},
	failures() {
		for (const [name, { status, assertionResults, message }] of files) {
			const failed = assertionResults.filter((test) => test.status === 'failed');
			if (status === 'failed' && failed.length === 0) console.log(`${name}\n${message}`);
			for (const test of failed) console.log(`${name} > ${test.fullName}\n${test.failureMessages.join('\n')}`);
		}
	},
	/** Those that failed. */
	files() {
		for (const [name, { status }] of files) if (status === 'failed') console.log(name);
	},
};
print[what]();
