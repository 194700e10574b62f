// Numbers in the file's own types, as `kerastl.verify.predictions` puts them in and takes them out.

function roundHalfToEven(value) {
  const rounded = Math.round(value);
  return Math.abs(value % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

function toTensor(values, tensor) {
  if (tensor.dtype === "float32") return Float32Array.from(values);
  if (tensor.dtype === "int32") return Int32Array.from(values);
  if (tensor.dtype !== "uint8") throw new Error(`A browser feeds no input of type ${tensor.dtype}.`);
  if (tensor.scale === null || tensor.scale === 1) return Uint8Array.from(values); // raw pixels
  const steps = (value) => roundHalfToEven(Math.fround(value) / tensor.scale) + tensor.zero_point;
  return Uint8Array.from(values, (value) => Math.min(255, Math.max(0, steps(value))));
}

function fromTensor(data, tensor) {
  if (tensor.dtype === "float32" || !tensor.scale) return Array.from(data);
  return Array.from(data, (step) => Math.fround((step - tensor.zero_point) * Math.fround(tensor.scale)));
}

function made(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}
