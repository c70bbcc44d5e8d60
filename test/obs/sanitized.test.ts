// All that garbage.test.ts does, to the plugin with the address and the undefined-behaviour sanitizer in it: what they find
// ends OBS.
process.env['OBS_SANITIZED'] = '1';
await import('./garbage.test.ts');

export {};
