import "@cloudscape-design/global-styles/index.css";
import "./console.css";
import I18nProvider from "@cloudscape-design/components/i18n";
import messages from "@cloudscape-design/components/i18n/messages/all.en";
import { applyMode, Mode } from "@cloudscape-design/global-styles";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app.tsx";
import { chosenMode } from "./parts/mode.ts";
import { loadSettings } from "./session/sign-in.ts";

applyMode(chosenMode() === "dark" ? Mode.Dark : Mode.Light);

const element = document.getElementById("root");
if (element === null) throw new Error("the document has no #root");
const root = createRoot(element);
try {
  const settings = await loadSettings();
  root.render(
    <StrictMode>
      <I18nProvider locale="en" messages={[messages]}>
        <App settings={settings} />
      </I18nProvider>
    </StrictMode>,
  );
} catch {
  root.render(<p>The gateway does not answer. Reload the page when it runs again.</p>);
}
