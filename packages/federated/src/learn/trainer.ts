/** What a participant brings: a model that it trains on its own data. */

/** How a participant is to train in one round. */
export interface FitSettings {
  readonly epochs: number;
  readonly batchSize: number;
  readonly learningRate: number;
  readonly l2: number;
  /** FedProx's μ; 0 without it. */
  readonly proximalMu: number;
  /** Seed of the order of examples. */
  readonly seed: number;
  /** SCAFFOLD: c − c_i, added to each gradient. */
  readonly correction?: Float32Array;
}

export interface FitResult {
  readonly parameters: Float32Array;
  /** Steps of gradient descent. */
  readonly steps: number;
  /** Mean loss of the given parameters before the first step. */
  readonly loss: number;
}

export interface Evaluation {
  readonly examples: number;
  /** Mean over the examples. */
  readonly loss: number;
  /** Share of right answers. */
  readonly accuracy: number;
}

export interface Trainer {
  /** Number of parameters. */
  readonly size: number;
  /** Training examples. */
  readonly examples: number;
  /** Ends early with the signal's reason. */
  fit(parameters: Float32Array, settings: FitSettings, signal: AbortSignal): Promise<FitResult>;
  /** On data that is not trained on. */
  evaluate(parameters: Float32Array): Evaluation;
}
