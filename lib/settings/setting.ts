/** A row of the table of settings. */

interface SettingBase {
  /** One clause, for `--help` and docs/configure.md. */
  readonly description: string;
  /** The option of the server's command line where it is not made of the name: those that are repeatable are in the singular. */
  readonly flag?: string;
}

export type Setting = SettingBase &
  (
    | { readonly type: "choice"; readonly choices: readonly string[]; readonly default: string }
    | {
        readonly type: "integer" | "number";
        readonly min: number;
        readonly max: number;
        readonly default: number;
      }
    | { readonly type: "text"; readonly pattern?: RegExp; readonly rule?: string; readonly default?: string }
    | { readonly type: "url" | "ip-address"; readonly default?: string }
    /** `any` or `none`, or ranges of IP addresses. */
    | { readonly type: "addresses"; readonly default: "any" | "none" }
  );

/** As text in the environment or on the command line. Addresses are parsed by lib/address-ranges.ts: few functions need them. */
export type SettingValue<S extends Setting> = S extends { readonly type: "choice" }
  ? S["choices"][number]
  : S extends { readonly type: "integer" | "number" }
    ? number
    : string;
