/** Where the measured bundle of the PSI trust domain lies. */
import { fileURLToPath } from "node:url";

/** Directory for `launch({ bundle })`; `npm run build` makes it. */
export function psiBundle(): string {
  return fileURLToPath(new URL("./bundle", import.meta.url));
}
