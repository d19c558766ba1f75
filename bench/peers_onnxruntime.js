// ONNX Runtime's side of bench/peers: one session, asked batch by batch.
//   node peers_onnxruntime.js FOLDER_OF_onnxruntime-node MODEL.onnx INPUTS THREADS < QUESTIONS
// INPUTS is float [n][c][h][w], little endian, without a header; the graph says c, h and w. QUESTIONS, a JSON object a
// line, answered by a line each:
//   {do: "logits", batch, out}       runs the first `batch` images, writes all outputs behind each other to the file `out`
//   {do: "time", batch, seconds}     {ms}: of a run, the best of three rounds of about so many seconds, as in `autodidact bench`
// Before the first question it prints {version, shape, outputs}. Timed is run() alone, on tensors that are there already;
// what a call costs in JavaScript is some ten microseconds.
const fs = require('fs');
const path = require('path');
const readline = require('readline');

const WARM_UP_RUNS = 3, ROUNDS = 3;
const [folder, model, inputs, threads] = process.argv.slice(2);
const ort = require(path.resolve(folder));

function say(answer) {
  fs.writeSync(1, JSON.stringify(answer) + '\n');
}

async function repeat(session, feeds, runs) {
  const begin = process.hrtime.bigint();
  for (let i = 0; i < runs; i++) await session.run(feeds);
  return Number(process.hrtime.bigint() - begin) / 1e6;
}

async function time(session, feeds, seconds) {
  const once = await repeat(session, feeds, WARM_UP_RUNS) / WARM_UP_RUNS;
  const runs = Math.max(1, Math.ceil(seconds * 1e3 / once));
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) best = Math.min(best, await repeat(session, feeds, runs) / runs);
  return best;
}

(async () => {
  const session = await ort.InferenceSession.create(model, {
    executionProviders: ['cpu'],
    graphOptimizationLevel: 'all',
    intraOpNumThreads: Number(threads),
    interOpNumThreads: 1,
    executionMode: 'sequential',
    logSeverityLevel: 3,
  });
  const bytes = fs.readFileSync(inputs);
  const floats = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  const shape = session.inputMetadata[0].shape.slice(1);
  const image = shape.reduce((a, b) => a * b);
  say({ version: require(path.resolve(folder, 'package.json')).version, shape, outputs: session.outputNames });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const question = JSON.parse(line);
    const x = floats.subarray(0, question.batch * image);
    const feeds = { [session.inputNames[0]]: new ort.Tensor('float32', x, [question.batch, ...shape]) };
    if (question.do === 'time') {
      say({ ms: await time(session, feeds, question.seconds) });
    } else {
      const answer = await session.run(feeds);
      fs.writeFileSync(question.out, Buffer.concat(session.outputNames.map((name) => {
        const { data } = answer[name];
        return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
      })));
      say({ dims: session.outputNames.map((name) => answer[name].dims) });
    }
  }
})().catch((e) => {
  say({ error: String(e.message || e) });
  process.exitCode = 1;
});
