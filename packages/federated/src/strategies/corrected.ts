/** Strategies against the drift of participants whose data differ. */
import { defineStrategy, requireRange, type Strategy, vectorOf } from "./strategy.ts";
import { defineMeanStrategy, step } from "./sum.ts";

/**
 * SCAFFOLD: `x ← x + η_g mean(Δy_i); c ← c + (|S| / N) mean(Δc_i)`, participants equal. They train with
 * `g − c_i + c` and send the change of their control variate (option II of the paper).
 * Source: Karimireddy et al., "SCAFFOLD: Stochastic Controlled Averaging for Federated Learning", ICML 2020, algorithm 1.
 * @param population N: participants of the run, of whom each round has some.
 */
export function scaffold({
  population,
  serverLearningRate = 1,
}: {
  readonly population: number;
  readonly serverLearningRate?: number;
}): Strategy {
  requireRange("population", population, 1, 1_000_000);
  requireRange("serverLearningRate", serverLearningRate, 1e-6, 100);
  return defineMeanStrategy(
    {
      name: "scaffold",
      settings: { population, serverLearningRate },
      requires: ["control"],
      initialState: (size) => ({ control: new Float64Array(size) }),
    },
    {
      weigh: () => 1,
      apply({ parameters, state, delta, control: change, count }) {
        const share = count / population;
        const before = vectorOf(state, "control", parameters.length);
        const control = before.map((value, i) => value + share * (change?.[i] ?? 0));
        return { parameters: step(parameters, delta, serverLearningRate), state: { control } };
      },
    },
  );
}

/**
 * FedNova: each update over its number of local steps, then times the effective number:
 * `x ← x + (Σ p_i τ_i) Σ p_i Δ_i / τ_i`, p_i = n_i / n.
 * Source: Wang et al., "Tackling the Objective Inconsistency Problem in Heterogeneous Federated Optimization", NeurIPS 2020,
 * equation 8 (τ_i is ‖a_i‖₁).
 */
export function fedNova(): Strategy {
  return defineStrategy({
    name: "fednova",
    settings: {},
    needs: "each",
    requires: ["steps"],
    aggregate({ parameters, updates, state }) {
      const total = updates.reduce((sum, { examples }) => sum + examples, 0);
      const effective = updates.reduce(
        (sum, { examples, steps }) => sum + (examples / total) * (steps as number),
        0,
      );
      const change = new Float64Array(parameters.length);
      for (const { examples, steps, delta } of updates) {
        const by = (effective * examples) / total / (steps as number);
        for (let i = 0; i < change.length; i++) {
          change[i] = (change[i] as number) + by * (delta[i] as number);
        }
      }
      return { parameters: step(parameters, change, 1), state };
    },
  });
}

/**
 * q-FedAvg: participants whose loss is high weigh more:
 * `x ← x − Σ F_i^q L (x − x_i) / Σ (q F_i^(q−1) ‖L (x − x_i)‖² + L F_i^q)`.
 * Source: Li et al., "Fair Resource Allocation in Federated Learning", ICLR 2020, algorithm 2.
 * @param lipschitz L: 1 over the participants' learning rate.
 */
export function qFedAvg({
  q = 1,
  lipschitz = 10,
}: {
  readonly q?: number;
  readonly lipschitz?: number;
} = {}): Strategy {
  requireRange("q", q, 0, 100);
  requireRange("lipschitz", lipschitz, 1e-6, 1e9);
  return defineStrategy({
    name: "qfedavg",
    settings: { q, lipschitz },
    needs: "each",
    requires: ["loss"],
    aggregate({ parameters, updates, state }) {
      const numerator = new Float64Array(parameters.length);
      let denominator = 0;
      for (const { delta, loss } of updates) {
        // A loss of zero to a negative power: the paper adds 1e-10.
        const safe = (loss as number) + 1e-10;
        const weight = safe ** q * lipschitz;
        let norm = 0;
        for (let i = 0; i < delta.length; i++) {
          const value = delta[i] as number;
          norm += value * value;
          numerator[i] = (numerator[i] as number) + weight * value;
        }
        denominator += q * safe ** (q - 1) * lipschitz * lipschitz * norm + weight;
      }
      return { parameters: step(parameters, numerator, 1 / denominator), state };
    },
  });
}
