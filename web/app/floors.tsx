// Floors: who may speak or show, who asks, and who decides.

import type { Floor } from "../sdk";
import * as control from "./control";
import { t, type Key } from "./i18n";

const names: Record<string, Key> = { a0: "floorAudio", v0: "floorVideo", s0: "floorSlides", sa0: "floorSlides" };

function floorName(label: string): string {
  const key = names[label];
  return key ? t(key) : label;
}

export function FloorSection() {
  if (control.floors.value.length === 0) return null;
  return (
    <>
      {control.floors.value.map((f) => (
        <OneFloor key={f.floor} floor={f} />
      ))}
    </>
  );
}

function OneFloor({ floor: f }: { floor: Floor }) {
  const self = control.me.value?.user;
  const mine = [...f.holders, ...f.queue].find((r) => r.user === self);
  const title = t("floorOf", { name: floorName(f.floor) });
  const chair = control.can("floor.grant") || (self !== undefined && control.policy.value.floorChair === self);
  return (
    <section class="box" aria-label={title}>
      <h3>{title}</h3>
      {f.holders.length === 0 && <p class="hint">{t("floorFree")}</p>}
      {f.holders.map((r) => (
        <p key={r.request} class="row spread">
          <span>{r.user === self ? t("floorYours") : t("floorHeld", { name: control.nameOfUser(r.user) })}</span>
          {chair && r.user !== self && (
            <button type="button" class="small secondary" onClick={() => void control.revokeFloor(r.request)}>{t("floorRevoke", { name: control.nameOfUser(r.user) })}</button>
          )}
        </p>
      ))}
      {f.queue.map((r) => (
        <div key={r.request} class="row spread">
          <span class="name">{r.queue > 0 ? `${r.queue}. ` : ""}{control.nameOfUser(r.user)}</span>
          {chair && (
            <span class="row">
              <button type="button" class="small primary" aria-label={t("floorGrant", { name: control.nameOfUser(r.user) })} onClick={() => void control.grantFloor(r.request)}>{t("accept")}</button>
              <button type="button" class="small secondary" aria-label={t("floorDeny", { name: control.nameOfUser(r.user) })} onClick={() => void control.denyFloor(r.request)}>{t("decline")}</button>
            </span>
          )}
        </div>
      ))}
      {mine?.queue ? <p class="hint">{t("floorQueue", { n: mine.queue })}</p> : null}
      {mine ? (
        <button type="button" class="small secondary" onClick={() => void control.releaseFloor(mine.request)}>{t(mine.status === "granted" ? "floorRelease" : "floorWithdraw")}</button>
      ) : (
        control.can("floor.request") && <button type="button" class="small primary" onClick={() => void control.requestFloor(f.floor)}>{t("floorRequest")}</button>
      )}
    </section>
  );
}
