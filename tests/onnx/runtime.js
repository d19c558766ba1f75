// What ONNX Runtime makes of exported models, compared with our own logits.
//   node runtime.js FOLDER_OF_onnxruntime-node < JOBS
// JOBS, one JSON object a line: {model, inputs, logits, shape: [c, h, w], batches: [..]}; the files are those of
// own_logits.c. Prints for each job and batch one line {outputs: [[name, largest difference, largest logit], ..]},
// or {error}. A batch must divide the number of images.
const fs = require('fs');
const path = require('path');
const ort = require(path.resolve(process.argv[2]));

function floats(file) {
  const bytes = fs.readFileSync(file);
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

async function compare(session, job, batch) {
  const inputs = floats(job.inputs), logits = floats(job.logits);
  const size = job.shape.reduce((a, b) => a * b), n = inputs.length / size;
  const names = session.outputNames, classes = logits.length / n / names.length;
  const outputs = names.map((name) => [name, 0, 0]);
  for (let first = 0; first < n; first += batch) {
    const x = inputs.subarray(first * size, (first + batch) * size);
    const y = await session.run({ image: new ort.Tensor('float32', x, [batch, ...job.shape]) });
    names.forEach((name, o) => {
      if (y[name].dims.join() !== [batch, classes].join()) throw new Error(`${name} has dims ${y[name].dims}`);
      y[name].data.forEach((value, i) => {
        const own = logits[(o * n + first) * classes + i], difference = Math.abs(value - own);
        // A NaN must not pass for small.
        if (!(difference <= outputs[o][1])) outputs[o][1] = difference;
        outputs[o][2] = Math.max(outputs[o][2], Math.abs(own));
      });
    });
  }
  return outputs;
}

(async () => {
  for (const line of fs.readFileSync(0, 'utf8').trim().split('\n')) {
    const job = JSON.parse(line);
    let session;
    for (const batch of job.batches) {
      try {
        session = session || await ort.InferenceSession.create(job.model, { intraOpNumThreads: 1, logSeverityLevel: 3 });
        console.log(JSON.stringify({ outputs: await compare(session, job, batch) }));
      } catch (e) {
        console.log(JSON.stringify({ error: String(e.message || e) }));
      }
    }
  }
})();
