/** The operations of the Data Lifecycle Manager. */
import type { Services } from "../../gateway/services.ts";
import type { OperationTable } from "../operation.ts";
import {
  createLifecyclePolicy,
  deleteLifecyclePolicy,
  getLifecyclePolicies,
  getLifecyclePolicy,
  updateLifecyclePolicy,
} from "./policies.ts";
import { listTagsForResource, tagResource, untagResource } from "./tags.ts";

export const dlmOperations: OperationTable<Services> = [
  createLifecyclePolicy,
  deleteLifecyclePolicy,
  getLifecyclePolicies,
  getLifecyclePolicy,
  listTagsForResource,
  tagResource,
  untagResource,
  updateLifecyclePolicy,
];
