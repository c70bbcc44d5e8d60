/** What `markOf` gives of the source's own picture at the least; the marker itself gives 1. */
export const RAW: number;

/** How much of a checkerboard of single pixels a picture has: 1 for the marker itself, about 0 for a painting of it. */
export const markOf: (picture: { data: Uint8Array; width: number; height: number; format: string }) => number;
