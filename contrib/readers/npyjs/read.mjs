// Reads .npy files with npyjs, for `contrib/readers/run`: for each path on standard input, a line of JSON on standard
// output. The first line says which version of npyjs it is.

import { readFileSync } from "node:fs";
import readline from "node:readline";
import { load } from "npyjs";

async function read(path) {
    let { data, shape, fortranOrder, dtype } = await load(readFileSync(path));
    if (Array.isArray(data)) {
        if (!data.every((element) => typeof element === "boolean")) throw Error("not numbers");
        data = Uint8Array.from(data);
    } else {
        dtype = data.constructor.name.replace(/Array$/, "").replace("Big", "").toLowerCase();
    }
    return { shape, dtype, bytes: bytes(data, shape, fortranOrder).toString("hex") };
}

// The elements in C order: npyjs gives them as they lie in the file.
function bytes(data, shape, fortranOrder) {
    const width = data.BYTES_PER_ELEMENT;
    const raw = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    if (!fortranOrder) return raw;
    const parts = [];
    for (let place = 0; place < data.length; place++) {
        let rest = place, at = 0;
        let stride = shape.reduce((size, n) => size * n, 1);
        for (let axis = shape.length - 1; axis >= 0; axis--) {
            stride /= shape[axis];
            at += (rest % shape[axis]) * stride;
            rest = Math.floor(rest / shape[axis]);
        }
        parts.push(raw.subarray(at * width, (at + 1) * width));
    }
    return Buffer.concat(parts);
}

console.log(JSON.parse(readFileSync(new URL("node_modules/npyjs/package.json", import.meta.url))).version);
for await (const path of readline.createInterface({ input: process.stdin })) {
    const answer = await read(path).catch((error) => ({ error: String(error) }));
    console.log(JSON.stringify(answer));
}
