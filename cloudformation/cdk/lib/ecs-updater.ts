import * as path from 'node:path';
import { Fn, NestedStack, Token } from 'aws-cdk-lib';
import { CfnInclude } from 'aws-cdk-lib/cloudformation-include';
import { Construct } from 'constructs';
import { OUTPUTS, PARAMETERS, type EcsUpdaterOutputs, type EcsUpdaterParameters, type Limits } from './interface';

export interface EcsUpdaterProps extends EcsUpdaterParameters {
  /**
   * Path of the template, whose parameters these are.
   *
   * @default ecs-updater.json, which is ecs-updater.yaml on one line, of the work tree that this file stands in
   */
  readonly templateFile?: string;
}

/**
 * The stack of ecs-updater.yaml, nested in the stack of its scope.
 *
 * It is a nested stack, with the template as it is, so that values that are known at deployment alone can be parameters:
 * the template's conditions take a parameter, and no other stack's resource.
 */
export class EcsUpdater extends Construct {
  /** The nested stack, whose resources have the template's names. */
  public readonly stack: NestedStack;
  /** The template's outputs. */
  public readonly outputs: EcsUpdaterOutputs;

  constructor(scope: Construct, id: string, props: EcsUpdaterProps) {
    super(scope, id);
    const { templateFile = path.join(__dirname, '..', '..', '..', 'ecs-updater.json'), ...given } = props;
    this.stack = new NestedStack(this, 'Stack', { parameters: parameters(given) });
    new CfnInclude(this.stack, 'Template', { templateFile });
    const resource = this.stack.nestedStackResource!;
    this.outputs = Object.fromEntries(
      OUTPUTS.map((name) => [name, Token.asString(resource.getAtt(`Outputs.${pascal(name)}`))]),
    ) as unknown as EcsUpdaterOutputs;
  }
}

/** Returns the parameters as CloudFormation takes them, and throws where it would refuse one. */
function parameters(given: EcsUpdaterParameters): { [name: string]: string } {
  const taken: { [name: string]: string } = {};
  for (const [name, limits] of Object.entries(PARAMETERS)) {
    const value = given[name as keyof EcsUpdaterParameters];
    if (value !== undefined) {
      taken[pascal(name)] = parameter(name, limits, value);
    }
  }
  for (const name of Object.keys(given)) {
    if (!(name in PARAMETERS)) {
      throw new Error(`${name} is no parameter of ecs-updater.yaml`);
    }
  }
  return taken;
}

function parameter(name: string, limits: Limits, value: string | number | readonly string[]): string {
  // What is known at deployment alone is checked by CloudFormation.
  if (Token.isUnresolved(value)) {
    return typeof value === 'object' ? Fn.join(',', [...value]) : String(value);
  }
  const items = typeof value === 'object' ? value : [String(value)];
  if (limits.list && items.length === 0) {
    throw new Error(`${name} must have an item`);
  }
  for (const item of items.filter((one) => !Token.isUnresolved(one))) {
    if (limits.pattern !== undefined && !new RegExp(limits.pattern).test(item)) {
      throw new Error(`${name} ${limits.says}, and not ${JSON.stringify(item)}`);
    }
    if (limits.values !== undefined && !limits.values.includes(item)) {
      throw new Error(`${name} must be one of ${limits.values.join(', ')}, and not ${JSON.stringify(item)}`);
    }
    if (limits.min !== undefined && limits.max !== undefined) {
      const number = Number(item);
      if (!Number.isInteger(number) || number < limits.min || number > limits.max) {
        throw new Error(`${name} must be a whole number from ${limits.min} to ${limits.max}, and not ${item}`);
      }
    }
  }
  return items.some((item) => Token.isUnresolved(item)) ? Fn.join(',', [...items]) : items.join(',');
}

/** clusterNames becomes ClusterNames. */
function pascal(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}
