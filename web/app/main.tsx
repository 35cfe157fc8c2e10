import { render } from "preact";
import "./style.css";
import "./debug";
import { Home, NotFound, RoomPage } from "./pages";

const path = location.pathname;
const page = path === "/" ? <Home /> : /^\/r\/[^/]+$/.test(path) ? <RoomPage /> : <NotFound />;
render(page, document.getElementById("app")!);
