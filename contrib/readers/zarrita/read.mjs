// Reads Zarr arrays with zarrita, for `contrib/readers/run`: for each path on standard input, a line of JSON on
// standard output. The first line says which version of zarrita it is.

import { readFileSync } from "node:fs";
import readline from "node:readline";
import FileSystemStore from "@zarrita/storage/fs";
import * as zarr from "zarrita";

async function read(path) {
    const array = await zarr.open.v3(new FileSystemStore(path), { kind: "array" });
    // Not `get`, which gives the one element of an array without axes and not an array.
    const { data, shape, stride } = array.shape.length
        ? await zarr.get(array, null)
        : await array.getChunk([]);
    return { shape, dtype: array.dtype, bytes: bytes(data, shape, stride).toString("hex") };
}

// The elements in C order: what zarrita reads can lie in another one.
function bytes(data, shape, stride) {
    const size = shape.reduce((count, n) => count * n, 1);
    const width = data.BYTES_PER_ELEMENT ?? 1;
    const raw = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    const parts = [];
    for (let place = 0; place < size; place++) {
        let rest = place, at = 0;
        for (let axis = shape.length - 1; axis >= 0; axis--) {
            at += (rest % shape[axis]) * stride[axis];
            rest = Math.floor(rest / shape[axis]);
        }
        parts.push(raw.subarray(at * width, (at + 1) * width));
    }
    return Buffer.concat(parts);
}

console.log(JSON.parse(readFileSync(new URL("node_modules/zarrita/package.json", import.meta.url))).version);
for await (const path of readline.createInterface({ input: process.stdin })) {
    const answer = await read(path).catch((error) => ({ error: String(error) }));
    console.log(JSON.stringify(answer));
}
