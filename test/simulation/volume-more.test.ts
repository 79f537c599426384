// The second half, for a second core.
import { testLives } from "./lives.ts";

testLives(1000, 1000);
