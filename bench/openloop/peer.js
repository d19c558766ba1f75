// The baseline that bench/goodput measures beside the daemon: what is written in an afternoon around ONNX Runtime. One session,
// HTTP by Node, batches formed of what waits while the last one is computed, and what cannot be in time any more is dropped.
//   node peer.js FOLDER_OF_onnxruntime-node MODEL.onnx THREADS BATCH_MAX MEAN STD
// MEAN and STD are of three channels, with commas between. Prints the port. SLA-Deadline-Ms is the one header that it knows.
const http = require('http');
const path = require('path');
const zlib = require('zlib');

const [folder, model, threads, batchMax, mean, std] = process.argv.slice(2);
const ort = require(path.resolve(folder));
const means = mean.split(',').map(Number), stds = std.split(',').map(Number);
const waiting = [];
let session, shape, busy = false;
const SIZES = [1, 2, 4, 8, 16, 32].filter((n) => n <= batchMax), WARM_UP_RUNS = 5;
const tookMs = {}; // a running mean of a batch, by the next of SIZES

// The pixels of an RGB PNG of 8 bits, not interlaced (PNG specification, 9.2: filters), as float [c][h][w], normalised.
function decode(png, into, at) {
  const width = png.readUInt32BE(16), height = png.readUInt32BE(20), data = [];
  for (let i = 8; i < png.length;) {
    const size = png.readUInt32BE(i);
    if (png.toString('latin1', i + 4, i + 8) === 'IDAT') data.push(png.subarray(i + 8, i + 8 + size));
    i += 12 + size;
  }
  if (png[24] !== 8 || png[25] !== 2 || width !== shape[2] || height !== shape[1]) throw new Error('another kind of image');
  const raw = zlib.inflateSync(Buffer.concat(data)), row = 3 * width;
  let above = Buffer.alloc(row);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (row + 1)], line = raw.subarray(y * (row + 1) + 1, (y + 1) * (row + 1));
    for (let i = 0; i < row; i++) {
      const a = i < 3 ? 0 : line[i - 3], b = above[i], c = i < 3 ? 0 : above[i - 3];
      const pa = Math.abs(b - c), pb = Math.abs(a - c), pc = Math.abs(a + b - 2 * c);
      const paeth = pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
      line[i] += [0, a, b, (a + b) >> 1, paeth][filter];
      const channel = i % 3;
      into[at + channel * width * height + y * width + (i - channel) / 3] = (line[i] / 255 - means[channel]) / stds[channel];
    }
    above = line;
  }
}

function answer(request, status, text, headers = {}) {
  request.response.writeHead(status, { 'Content-Type': 'application/json', 'Content-Length': text.length, ...headers });
  request.response.end(text);
}

function sizeOf(n) {
  return SIZES.find((size) => size >= n) || SIZES[SIZES.length - 1];
}

function learn(n, ms) {
  const size = sizeOf(n);
  tookMs[size] = tookMs[size] === undefined ? ms : 0.9 * tookMs[size] + 0.1 * ms;
}

// What can still be in time in a batch of that size, the oldest first; who could not even alone is refused. The batch grows
// as long as its oldest can bear it.
function take() {
  const now = performance.now(), batch = [];
  while (waiting.length > 0 && batch.length < batchMax) {
    const request = waiting[0], oldest = batch.length > 0 ? batch[0] : request;
    if (now + tookMs[sizeOf(batch.length + 1)] <= oldest.until) batch.push(waiting.shift());
    else if (batch.length > 0) break;
    else answer(waiting.shift(), 503, '{"detail":"dropped"}');
  }
  return batch;
}

async function work() {
  if (busy) return;
  busy = true;
  for (let batch; (batch = take()).length > 0;) {
    const start = performance.now(), n = batch.length, size = shape[0] * shape[1] * shape[2];
    const x = new Float32Array(n * size);
    batch.forEach((request, i) => decode(request.body, x, i * size));
    const { data } = Object.values(await session.run({ [session.inputNames[0]]: new ort.Tensor('float32', x, [n, ...shape]) }))[0];
    const classes = data.length / n;
    batch.forEach((request, i) => {
      const logits = data.subarray(i * classes, (i + 1) * classes);
      answer(request, 200, `{"index":${logits.indexOf(logits.reduce((a, b) => Math.max(a, b)))}}`, { 'SLA-Classifier': 'deepest' });
    });
    learn(n, performance.now() - start);
  }
  busy = false;
}

(async () => {
  session = await ort.InferenceSession.create(model, {
    executionProviders: ['cpu'], graphOptimizationLevel: 'all', intraOpNumThreads: Number(threads), interOpNumThreads: 1,
    executionMode: 'sequential', logSeverityLevel: 3,
  });
  shape = session.inputMetadata[0].shape.slice(1);
  for (const n of SIZES) {
    const x = new ort.Tensor('float32', new Float32Array(n * shape[0] * shape[1] * shape[2]), [n, ...shape]);
    for (let run = 0; run < WARM_UP_RUNS; run++) {
      const start = performance.now();
      await session.run({ [session.inputNames[0]]: x });
      if (run > 0) learn(n, performance.now() - start);
    }
  }
  const server = http.createServer((message, response) => {
    const pieces = [], until = performance.now() + Number(message.headers['sla-deadline-ms'] || Infinity);
    message.on('data', (piece) => pieces.push(piece));
    message.on('end', () => {
      waiting.push({ response, until, body: Buffer.concat(pieces) });
      work();
    });
  });
  server.listen(0, '127.0.0.1', 65535, () => console.log(server.address().port));
})();
