// Lint rules: typescript-eslint's strictest set, the same for src, bench, tests and configuration.
// A rule is tuned only where it contradicts a rule of this repository; the reason stands beside it.
import js from "@eslint/js";
import { defineConfig } from "eslint/config";
import tseslint from "typescript-eslint";

export default defineConfig(
  { ignores: ["node_modules/", "coverage/", "data/"] },
  {
    // No exemptions in the code: a finding is fixed, or the rule is tuned here, where it is seen.
    linterOptions: { noInlineConfig: true, reportUnusedDisableDirectives: "error" },
  },
  js.configs.recommended,
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: {
      parserOptions: { project: "./tsconfig.json", tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      // A case that is missing is found, unless a default says what is done with the rest.
      "@typescript-eslint/switch-exhaustiveness-check": [
        "error",
        { considerDefaultExhaustiveForUnions: true },
      ],
      // Numbers and booleans in messages are the normal case; objects stay forbidden.
      "@typescript-eslint/restrict-template-expressions": [
        "error",
        { allowNumber: true, allowBoolean: true },
      ],
      // `() => send(x)` is shorter than a block and says as much.
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      // `Promise.withResolvers<void>()` is a deferred without a value; the rule knows only `new`.
      "@typescript-eslint/no-invalid-void-type": "off",
      // `while (true)` is how a long-lived loop is written.
      "@typescript-eslint/no-unnecessary-condition": [
        "error",
        { allowConstantLoopConditions: "only-allowed-literals" },
      ],
      // A parameter that an interface asks for and the body does not need begins with `_`.
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
      // Types are erased when the file is run: what is only a type must be imported as one.
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/consistent-type-exports": "error",
      eqeqeq: "error",
    },
  },
  {
    // Its assertions relate constants to one another: that they always hold is their point.
    files: ["src/base/limits.ts"],
    rules: { "@typescript-eslint/no-unnecessary-condition": "off" },
  },
  {
    // The pages run in a browser as they are; uPlot is a classic script there.
    files: ["src/bidding-demo/page/static/*.js", "src/report/page/*.js"],
    languageOptions: {
      globals: {
        clearTimeout: "readonly",
        document: "readonly",
        getComputedStyle: "readonly",
        location: "readonly",
        matchMedia: "readonly",
        ResizeObserver: "readonly",
        setTimeout: "readonly",
        uPlot: "readonly",
        WebSocket: "readonly",
      },
    },
  },
  {
    files: ["**/*.cjs"],
    languageOptions: {
      sourceType: "commonjs",
      globals: {
        console: "readonly",
        process: "readonly",
        require: "readonly",
        module: "readonly",
        __dirname: "readonly",
      },
    },
  },
);
