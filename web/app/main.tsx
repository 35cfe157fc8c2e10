import { render } from "preact";
import * as call from "./call";
import "./style.css";
import "./control.css";
import "./security.css";
import "./stats.css";
import "./debug";
import { Home, NotFound, RoomPage } from "./pages";


const path = location.pathname;
const inRoom = /^\/r\/[^/]+$/.test(path);
// Before anything is drawn: a key in the address bar leaves it at once.
if (inRoom) {
  document.title = `${call.roomName} · Parley`;
  void call.prepare();
} else {
  void call.admit(null);
}
render(path === "/" ? <Home /> : inRoom ? <RoomPage /> : <NotFound />, document.getElementById("app")!);
