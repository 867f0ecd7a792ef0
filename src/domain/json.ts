/** Plain data: what records, job data, checkpoints and wave options are made of. */
export type JsonValue = string | number | boolean | null | JsonValue[] | JsonObject;
export type JsonObject = { [key: string]: JsonValue };
