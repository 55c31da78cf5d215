/** A synthesized deployment as CloudFormation would make it: references are resolved, and what the front needs is read out of it. */

/** CloudFormation's JSON, of which each kind of resource is read below. */
// biome-ignore lint/suspicious/noExplicitAny: templates have no types.
type Properties = Readonly<Record<string, any>>;

export interface TemplateJson {
  readonly Resources: Readonly<Record<string, { readonly Type: string; readonly Properties?: Properties }>>;
  readonly Outputs?: Readonly<
    Record<string, { readonly Value: unknown; readonly Export?: { readonly Name: string } }>
  >;
}

export interface DeployedResource {
  readonly id: string;
  /** Resolved. */
  readonly properties: Properties;
}

export const REGION = "us-east-1";
export const ACCOUNT = "000000000000";

const PSEUDO_PARAMETERS: Readonly<Record<string, string>> = {
  "AWS::Region": REGION,
  "AWS::AccountId": ACCOUNT,
  "AWS::Partition": "aws",
  "AWS::URLSuffix": "amazonaws.com",
};

/** The stacks of one mirror. */
export class DeployedTemplate {
  readonly #templates: readonly TemplateJson[];
  /** By logical id: what `Ref` means, where that is not the id itself. */
  readonly #names: Readonly<Record<string, string>>;

  constructor(templates: readonly TemplateJson[], names: Readonly<Record<string, string>> = {}) {
    this.#templates = templates;
    this.#names = names;
  }

  /** The same, with names of resources that are known by now. */
  with(names: Readonly<Record<string, string>>): DeployedTemplate {
    return new DeployedTemplate(this.#templates, { ...this.#names, ...names });
  }

  resources(type: string): DeployedResource[] {
    return this.#templates.flatMap(({ Resources }) =>
      Object.entries(Resources)
        .filter(([, { Type }]) => Type === type)
        .map(([id, { Properties = {} }]) => ({ id, properties: this.resolve(Properties) as Properties })),
    );
  }

  only(type: string): DeployedResource {
    const [found, ...more] = this.resources(type);
    if (found === undefined || more.length > 0) throw new Error(`not one ${type}`);
    return found;
  }

  /** @throws {Error} A reference or function that is not understood. */
  resolve(value: unknown): unknown {
    if (Array.isArray(value)) return value.map((item) => this.resolve(item));
    if (typeof value !== "object" || value === null) return value;
    const [[key = "", argument] = [], ...others] = Object.entries(value);
    if (others.length === 0) {
      if (key === "Ref") return this.#named(String(argument));
      if (key.startsWith("Fn::")) return this.#call(key, argument as unknown[]);
    }
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, this.resolve(item)]));
  }

  #call(name: string, argument: unknown[]): unknown {
    switch (name) {
      case "Fn::GetAtt":
        return this.#attribute(String(argument[0]), String(argument[1]));
      case "Fn::Join":
        return (this.resolve(argument[1]) as unknown[]).join(String(argument[0]));
      case "Fn::Split":
        return String(this.resolve(argument[1])).split(String(argument[0]));
      case "Fn::Select":
        return (this.resolve(argument[1]) as unknown[])[Number(argument[0])];
      case "Fn::Sub":
        return String(argument).replaceAll(/\$\{([^}]+)\}/g, (_, id: string) => this.#named(id));
      case "Fn::ImportValue":
        return this.#imported(String(argument));
      default:
        throw new Error(`the template has ${name}`);
    }
  }

  #named(id: string): string {
    return this.#names[id] ?? PSEUDO_PARAMETERS[id] ?? id;
  }

  #imported(name: string): unknown {
    for (const { Outputs = {} } of this.#templates)
      for (const { Value, Export } of Object.values(Outputs))
        if (Export?.Name === name) return this.resolve(Value);
    throw new Error(`nothing is exported as ${name}`);
  }

  #attribute(id: string, attribute: string): string {
    const type = this.#templates.flatMap(({ Resources }) => Resources[id]?.Type ?? [])[0] ?? "";
    if (attribute !== "Arn") return `${id}.${attribute}`;
    if (type === "AWS::S3::Bucket") return `arn:aws:s3:::${this.#named(id)}`;
    const service = type.split("::")[1]?.toLowerCase();
    const resource = service === "lambda" ? `function:${id}` : id;
    return `arn:aws:${service}:${REGION}:${ACCOUNT}:${resource}`;
  }
}

export interface FunctionDefinition {
  readonly id: string;
  readonly roleId: string;
  readonly memoryMib: number;
  readonly timeoutMs: number;
  readonly temporaryStorageMib: number;
  /** None: what others have not reserved. */
  readonly reservedConcurrency: number | undefined;
  readonly environment: Readonly<Record<string, string>>;
}

/** By name: `AuthorizerFunctionEB19F618` is `authorizer`. */
export function functionsOf(template: DeployedTemplate): Map<string, FunctionDefinition> {
  return new Map(
    template.resources("AWS::Lambda::Function").map(({ id, properties }) => [
      functionName(id),
      {
        id,
        roleId: String(properties["Role"]).split(":").at(-1) ?? "",
        memoryMib: properties["MemorySize"],
        timeoutMs: properties["Timeout"] * 1000,
        temporaryStorageMib: properties["EphemeralStorage"]?.Size ?? 512,
        reservedConcurrency: properties["ReservedConcurrentExecutions"],
        environment: properties["Environment"].Variables,
      },
    ]),
  );
}

/** @param reference - An ARN, or an id. */
export function functionName(reference: string): string {
  const [, name = ""] = /(\w+)Function[0-9A-F]{8}/.exec(reference) ?? [];
  return name.charAt(0).toLowerCase() + name.slice(1);
}
