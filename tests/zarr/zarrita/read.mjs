// Reads Zarr v3 arrays with zarrita, and writes each as a line of JSON: shape, dtype, and elements in C order.

import * as zarr from "zarrita";
import FileSystemStore from "@zarrita/storage/fs";

for (const directory of process.argv.slice(2)) {
  const array = await zarr.open.v3(zarr.root(new FileSystemStore(directory)), { kind: "array" });
  const { data, shape, stride } = await zarr.get(array);
  const elements = [];
  const walk = (axis, at) => {
    if (axis === shape.length) return elements.push(String(data.get ? data.get(at) : data[at]));
    for (let i = 0; i < shape[axis]; i++) walk(axis + 1, at + i * stride[axis]);
  };
  walk(0, 0);
  console.log(JSON.stringify({ shape, dtype: array.dtype, elements }));
}
