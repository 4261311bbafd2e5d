/** Tasks entry of the bundle: what its threads may run. */
import { registerTasks, type TaskHandler } from "@vivarium/workers";
import { psiTasks } from "../tasks.ts";

const handler: TaskHandler<typeof psiTasks> = registerTasks(psiTasks);

// biome-ignore lint/style/noDefaultExport: a pool takes its handler from a file's default export
export default handler;
