import { testLives } from "./lives.ts";

testLives(0, 1000);
