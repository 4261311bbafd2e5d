/** Where the measured bundle of the serving trust domain lies. */
import { fileURLToPath } from "node:url";

/** Directory for `launch({ bundle })`; `npm run build` makes it. */
export function servingBundle(): string {
  return fileURLToPath(new URL("./bundle", import.meta.url));
}
