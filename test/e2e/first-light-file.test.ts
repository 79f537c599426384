import { firstLight } from "./first-light.ts";
import { fileStore } from "./store.ts";

firstLight(fileStore, 1100);
