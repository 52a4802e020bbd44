// Generator protocol: what a load generator's process and the one that started it say.
// Owns: the messages. They are plain data; the first one is a load.
import type { Failure } from "../base/failure.ts";
import type { LoadResult, LoadSecond } from "./load-result.ts";
import type { LoadSpec } from "./load-spec.ts";

export type ToGenerator =
  { readonly kind: "load"; readonly spec: LoadSpec } | { readonly kind: "stop" };

export type FromGenerator =
  | { readonly kind: "started" }
  | { readonly kind: "refused"; readonly failure: Failure }
  | { readonly kind: "second"; readonly second: LoadSecond }
  | { readonly kind: "log"; readonly line: string }
  | { readonly kind: "result"; readonly result: LoadResult };
