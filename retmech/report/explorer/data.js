// The blocks of data inside the page: opened when they are needed, once.

const opened = new Map();

/** Return a block by its name; null if the page has none of that name. */
function block(name) {
  if (!opened.has(name)) opened.set(name, decompressed(name));
  return opened.get(name);
}

function decompressed(name) {
  const element = document.querySelector(`script[data-name="${CSS.escape(name)}"]`);
  if (!element) return null;
  const bytes = Uint8Array.from(atob(element.textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).json();
}

const unpacked = new WeakMap();

/** Return all numbers of a packed array: differences along the last axis, in steps, summed up. */
function values(packed) {
  if (!unpacked.has(packed)) {
    const length = packed.shape.at(-1);
    const found = new Float64Array(packed.differences.length);
    let sum = 0;
    packed.differences.forEach((difference, i) => {
      sum = i % length ? sum + difference : difference;
      found[i] = sum * packed.step;
    });
    unpacked.set(packed, found);
  }
  return unpacked.get(packed);
}

/** Return the last axis of a packed array at an index into all others. */
function series(packed, ...index) {
  const length = packed.shape.at(-1);
  let place = 0;
  index.forEach((i, axis) => {
    place = place * packed.shape[axis] + i;
  });
  return values(packed).subarray(place * length, (place + 1) * length);
}

/** Return the last two axes of a packed array as rows. */
function rows(packed, ...index) {
  return Array.from({ length: packed.shape.at(-2) }, (_, i) => series(packed, ...index, i));
}

function sum(arrays, length) {
  const total = new Float64Array(length);
  for (const array of arrays) for (let i = 0; i < length; i++) total[i] += array[i];
  return total;
}

/** Pearson's correlation; NaN where one of them is constant. */
function correlation(a, b) {
  const n = a.length;
  const mean = (v) => v.reduce((s, x) => s + x, 0) / n;
  const [ma, mb] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < n; i++) {
    ab += (a[i] - ma) * (b[i] - mb);
    aa += (a[i] - ma) ** 2;
    bb += (b[i] - mb) ** 2;
  }
  return aa > 0 && bb > 0 ? ab / Math.sqrt(aa * bb) : NaN;
}
