import { readFile } from 'node:fs/promises';
import type { Answer } from './answer.ts';

/** Plain files that need no build: dist/ and sidecar/ see them at the same place. */
const PAGE_FOLDER = new URL('../../../sidecar/control/page/', import.meta.url);
const PAGE_FILES: Record<string, [file: string, type: string]> = {
	'/': ['index.html', 'text/html'],
	// The same, as a dock of OBS knows it: the page fits 300 pixels.
	'/dock': ['index.html', 'text/html'],
	'/page.css': ['page.css', 'text/css'],
	'/page.js': ['page.js', 'text/javascript'],
	'/stage.js': ['stage.js', 'text/javascript'],
	'/plot.js': ['plot.js', 'text/javascript'],
	'/modifiers.js': ['modifiers.js', 'text/javascript'],
	'/reference.js': ['reference.js', 'text/javascript'],
	'/scenes.js': ['scenes.js', 'text/javascript'],
	'/fleet.js': ['fleet.js', 'text/javascript'],
	'/thumbnails.js': ['thumbnails.js', 'text/javascript'],
	'/styles.js': ['styles.js', 'text/javascript'],
	'/prompt.js': ['prompt.js', 'text/javascript'],
	'/login.js': ['login.js', 'text/javascript'],
	'/link.js': ['link.js', 'text/javascript'],
};

/** The files of the page by their paths, read once: what a request asks for never becomes a file's name. */
export type PageFiles = ReadonlyMap<string, Answer>;

export const readPageFiles = async (): Promise<PageFiles> => {
	const files = Object.entries(PAGE_FILES).map(async ([path, [file, type]]): Promise<[string, Answer]> => {
		const body = await readFile(new URL(file, PAGE_FOLDER));
		return [path, { type: `${type}; charset=utf-8`, body }];
	});
	return new Map(await Promise.all(files));
};
