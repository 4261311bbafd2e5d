/** TensorFlow.js: engines and models of layers. Apart from the formats, for it is big to load. */
export type { BackendName, TensorFlow, TensorFlowOptions } from "./backend.ts";
export { openTensorFlow } from "./backend.ts";
