/** Where a rule comes from: a step of Intel's Quote Verification Library. */
export const source = (step: string): string => `Intel QVL 4.1.2.4.${step}`;
