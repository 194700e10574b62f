// The page: the runtime, the file, what goes in, what comes out.

const PARTS = { image: ImagePart, text: TextPart, numbers: NumbersPart, array: ArrayPart };
const bundle = JSON.parse(document.getElementById("bundle").textContent);
const [state, form, shown, button] = ["state", "ask", "answer", "answer-it"].map((id) => document.getElementById(id));
let model = null, runtime = null, waiting = Promise.resolve();

async function beside(name) {
  const found = await fetch(name);
  if (!found.ok) throw new Error(`${name} is not beside this page (${found.status}).`);
  return found;
}

// What changes by itself, a drawing or a picture, is answered at once where nothing else is asked for.
function changed(error) {
  if (error) fail(error);
  else if (model && parts.length === 1) answer();
}

const parts = bundle.parts.map((facts) => new PARTS[facts.kind](facts, changed));
document.getElementById("parts").append(...parts.map((part) => part.element));

function fail(error) {
  shown.replaceChildren(made("p", { className: "wrong", textContent: error.message }));
  delete shown.dataset.values;
}

// The file's tensors by the names that the runtime gives them, or else in its order.
function named(facts, details) {
  const names = new Set(facts.map((one) => one.name));
  const same = details.every((one) => names.has(one.name));
  return details.map((one, place) => ({ detail: one, facts: same ? facts.find((own) => own.name === one.name) : facts[place] }));
}

// The first run lays out the file's memory, and would be timed with the first answer.
async function warmUp() {
  const inputs = named(bundle.inputs, model.getInputDetails()).map(({ detail, facts }) => {
    const shape = Array.from(detail.shape);
    return new runtime.Tensor(toTensor(new Array(shape.reduce((a, b) => a * b, 1)).fill(0), facts), shape);
  });
  [...inputs, ...(await model.run(inputs))].forEach((tensor) => tensor.delete());
}

async function run(values) {
  const wanted = bundle.parts.flatMap((part, place) => part.tensors.map((name, index) => [name, values[place][index]]));
  const given = new Map(wanted), alone = wanted.length === 1;
  const inputs = named(bundle.inputs, model.getInputDetails()).map(({ detail, facts }, place) => {
    const numbers = alone ? wanted[0][1] : given.get(facts.name) ?? wanted[place][1];
    return new runtime.Tensor(toTensor(numbers, facts), Array.from(detail.shape));
  });
  const begun = performance.now();
  const results = await model.run(inputs);
  const outputs = {};
  const ends = named(bundle.outputs, model.getOutputDetails());
  for (const [place, result] of results.entries()) {
    const { facts, detail } = ends[place];
    outputs[facts.name || detail.name] = fromTensor(await result.data(), facts);
  }
  const milliseconds = performance.now() - begun;
  [...inputs, ...results].forEach((tensor) => tensor.delete());
  return { outputs, milliseconds };
}

function answer() {
  waiting = waiting.then(async () => {
    const { outputs, milliseconds } = await run(parts.map((part) => part.read()));
    const time = made("p", { className: "soft", textContent: `${milliseconds.toFixed(2)} ms in this browser` });
    shown.replaceChildren(...answered(bundle.answers, outputs, parts), time);
    shown.dataset.values = JSON.stringify(outputs);
  }).catch(fail);
  return waiting;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  answer();
});

try {
  runtime = await import(new URL("litert/dist/index.js", location.href));
  await runtime.loadLiteRt(new URL("litert/wasm/", location.href).href);
  const [content] = await Promise.all([beside("model.tflite"), ...parts.map((part) => part.load?.())]);
  const data = new Uint8Array(await content.arrayBuffer());
  model = await runtime.loadAndCompile(data, { accelerator: "wasm" });
  await warmUp();
  state.textContent = `${data.length.toLocaleString("en")} bytes, ready.`;
  button.disabled = false;
} catch (error) {
  state.textContent = `It cannot run here (${error.message}). The command "kerastl demo DIR" serves this page with its runtime.`;
}
document.documentElement.dataset.loaded = String(model !== null);
