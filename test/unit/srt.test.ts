import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openSrtLink, parseSrtAddress } from '../../sidecar/srt.ts';

describe('an address of SRT', () => {
	it.each([
		['srt://studio.lan:9000', { name: 'srt://studio.lan:9000', mode: 'caller', latencyMs: 120 }],
		['srt://:9000', { name: 'srt://:9000', host: '', mode: 'listener' }],
		['srt://[::1]:9000?mode=rendezvous&latency=300', { host: '[::1]', mode: 'rendezvous', latencyMs: 300 }],
		['srt://10.0.0.1:9000?streamid=cam%2F1&pbkeylen=32', { streamId: 'cam/1', keyBytes: '32' }],
	])('%s is understood', (address, expected) => {
		expect(parseSrtAddress(address)).toMatchObject(expected);
	});

	it.each([
		['srt://studio.lan', /no address/],
		['srt://studio.lan:0', /no address/],
		['srt://studio.lan:70000', /no address/],
		['srt://user@studio.lan:9000', /no address/],
		['srt://-i:9000/../x', /no address/],
		['srt://studio.lan:9000?mode=push', /caller, listener, rendezvous/],
		['srt://:9000?mode=caller', /names a host/],
		['srt://studio.lan:9000?latency=fast', /0 to 8000 ms/],
		['srt://studio.lan:9000?latency=9000', /0 to 8000 ms/],
		['srt://studio.lan:9000?pbkeylen=8', /16, 24, 32/],
		['srt://studio.lan:9000?rcvbuf=1', /not known/],
		['srt://studio.lan:9000?passphrase=open-sesame-1', /ALLAPRIMA_SRT_PASSPHRASE/],
	])('%s is refused, and no secret of it said', (address, why) => {
		expect(() => parseSrtAddress(address)).toThrow(expect.objectContaining({ code: 'ERR_CONFIG' }));
		expect(() => parseSrtAddress(address)).toThrow(why);
		expect(() => parseSrtAddress(address)).toThrow(/^(?!.*sesame)/s);
	});

	it('has its passphrase from a file or the environment, which is in no name and no message', async () => {
		const folder = await mkdtemp(join(tmpdir(), 'allaprima-srt-'));
		const file = join(folder, 'passphrase');
		await writeFile(file, 'open-sesame-1\n');
		const link = await openSrtLink(`srt://studio.lan:9000?passphraseFile=${file}`, {});
		expect(link.options).toContain('open-sesame-1');
		expect(link.url + link.name).not.toContain('sesame');
		expect(link.redact('srt://x?passphrase=open-sesame-1: no')).toBe('srt://x?passphrase=***: no');
		await writeFile(file, 'short');
		await expect(openSrtLink(`srt://a:1?passphraseFile=${file}`, {})).rejects.toThrow(/10 to 79 characters.* 5\./);
		await expect(openSrtLink(`srt://a:1?passphraseFile=${folder}/none`, {})).rejects.toThrow(/cannot be read/);
		const { options } = await openSrtLink('srt://a:1?latency=200', { ALLAPRIMA_SRT_PASSPHRASE: 'out-of-the-air' });
		expect(options.join(' ')).toContain('-mode caller -latency 200000 -transtype live -passphrase out-of-the-air');
		await rm(folder, { recursive: true });
	});
});
