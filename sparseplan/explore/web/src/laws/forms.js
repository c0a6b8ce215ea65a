// The forms that the page can compute, by their names in law files. A new one: its file, and a line here.

import { Frantar2023 } from "./frantar2023.js";
import { VaryingExponents } from "./varying_exponents.js";
import { Wu2026 } from "./wu2026.js";

export const FORMS = {
  frantar2023: Frantar2023,
  coupled: Frantar2023,
  wu2026: Wu2026,
  "varying-exponents": VaryingExponents,
};
