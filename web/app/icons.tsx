// Line icons, drawn for a 24-unit box; currentColor, so that state is one class.

import type { ComponentChildren } from "preact";

function Icon({ children }: { children: ComponentChildren }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
      {children}
    </svg>
  );
}

const slash = <path d="M4 4l16 16" />;
const micBody = (
  <>
    <rect x="9" y="3" width="6" height="11" rx="3" />
    <path d="M5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3" />
  </>
);
const camBody = (
  <>
    <rect x="3" y="6.5" width="12" height="11" rx="2.5" />
    <path d="M15 10.5l5-3v9l-5-3" />
  </>
);

export const Mic = () => <Icon>{micBody}</Icon>;
export const MicOff = () => <Icon>{micBody}{slash}</Icon>;
export const Cam = () => <Icon>{camBody}</Icon>;
export const CamOff = () => <Icon>{camBody}{slash}</Icon>;
export const Screen = () => <Icon><rect x="3" y="4.5" width="18" height="12" rx="2" /><path d="M8.5 20h7M12 13.500V8M9.500 10.300L12 7.800l2.500 2.500" /></Icon>;
export const ScreenOff = () => <Icon><rect x="3" y="4.5" width="18" height="12" rx="2" /><path d="M8.500 20h7M9.800 8.300l4.400 4.400M14.200 8.300l-4.400 4.400" /></Icon>;
export const Hang = () => <Icon><path d="M3.500 15.200c-.9-1-.8-2.500.2-3.400 4.700-4 11.900-4 16.600 0 1 .9 1.100 2.400.2 3.400l-.8.8c-.5.5-1.300.6-1.900.2l-2.200-1.400c-.5-.3-.8-.9-.7-1.500l.1-1.300c-2-.6-4-.6-6 0l.1 1.300c.1.600-.2 1.200-.7 1.500l-2.200 1.400c-.6.4-1.400.3-1.900-.2z" /></Icon>;
export const People = () => <Icon><circle cx="9" cy="8.500" r="3.200" /><path d="M3 19c.6-3.200 3-5 6-5s5.400 1.800 6 5M15.500 5.600a3.200 3.200 0 0 1 0 5.800M17.500 14.500c1.900.700 3.100 2.300 3.500 4.500" /></Icon>;
export const Gear = () => <Icon><path d="M4 7h9M17 7h3M4 12h3M11 12h9M4 17h11M19 17h1" /><circle cx="15" cy="7" r="2" /><circle cx="9" cy="12" r="2" /><circle cx="17" cy="17" r="2" /></Icon>;
export const Link = () => <Icon><path d="M10 14a4 4 0 0 0 5.700 0l3-3A4 4 0 0 0 13 5.300l-1 1M14 10a4 4 0 0 0-5.700 0l-3 3A4 4 0 0 0 11 18.700l1-1" /></Icon>;
export const GridIcon = () => <Icon><rect x="4" y="4" width="7" height="7" rx="1.500" /><rect x="13" y="4" width="7" height="7" rx="1.500" /><rect x="4" y="13" width="7" height="7" rx="1.500" /><rect x="13" y="13" width="7" height="7" rx="1.500" /></Icon>;
export const Focus = () => <Icon><rect x="3.500" y="4" width="17" height="10.500" rx="2" /><path d="M4 19h4M10 19h4M16 19h4" /></Icon>;
export const Pin = () => <Icon><path d="M9 4h6l-1 6 3 3H7l3-3zM12 13v7" /></Icon>;
export const Close = () => <Icon><path d="M6 6l12 12M18 6L6 18" /></Icon>;
export const Sound = () => <Icon><path d="M4 9.500v5h3.500L12 18V6L7.500 9.500zM15.500 9a4.500 4.500 0 0 1 0 6M18 6.500a8 8 0 0 1 0 11" /></Icon>;

export const Hand = () => <Icon><path d="M8 13V6.200a1.400 1.400 0 0 1 2.800 0V11M10.800 10.500V4.400a1.400 1.400 0 0 1 2.800 0V11M13.600 11V5.600a1.400 1.400 0 0 1 2.800 0V13M16.400 9.500a1.400 1.400 0 0 1 2.800 0V15c0 3.600-2.400 6-6 6-3 0-4.400-1.200-5.800-3.600L4.600 13c-.7-1.200.9-2.300 1.900-1.300L8 13.400" /></Icon>;
export const ChatIcon = () => <Icon><path d="M4 6.500A2.500 2.500 0 0 1 6.500 4h11A2.500 2.500 0 0 1 20 6.500v7a2.500 2.500 0 0 1-2.500 2.500H11l-4.500 4v-4A2.500 2.500 0 0 1 4 13.500zM8 8.700h8M8 11.800h5" /></Icon>;
export const Chart = () => <Icon><path d="M4 4v16h16M7.500 15l3.500-5 3.500 3 4.500-7" /></Icon>;
export const Lock = () => <Icon><rect x="5" y="10.500" width="14" height="9.500" rx="2.200" /><path d="M8 10.500V7.500a4 4 0 0 1 8 0v3" /></Icon>;
export const Unlock = () => <Icon><rect x="5" y="10.500" width="14" height="9.500" rx="2.200" /><path d="M8 10.500V7.500a4 4 0 0 1 7.600-1.700" /></Icon>;
export const Sealed = () => <Icon><path d="M12 3l7.500 2.600v5.400c0 4.700-3 8.200-7.500 10-4.500-1.800-7.500-5.300-7.500-10V5.600z" /><rect x="8.800" y="10.800" width="6.400" height="5.200" rx="1.200" /><path d="M10 10.800V9.300a2 2 0 0 1 4 0v1.500" /></Icon>;
export const Unsealed = () => <Icon><path d="M12 3l7.500 2.600v5.400c0 4.700-3 8.200-7.500 10-4.500-1.800-7.500-5.300-7.500-10V5.600zM12 8v4.500M12 15.800v.1" /></Icon>;
export const Rooms = () => <Icon><path d="M4 4.500h6.500V11H4zM13.500 4.500H20V11h-6.500zM4 13.500h6.500V20H4zM13.500 16.700H20M17 13.500l3.200 3.200-3.200 3.200" /></Icon>;
export const Dots = () => <Icon><circle cx="6" cy="12" r=".9" /><circle cx="12" cy="12" r=".9" /><circle cx="18" cy="12" r=".9" /></Icon>;
export const Devices = () => <Icon><rect x="3" y="5" width="12.500" height="9" rx="1.500" /><path d="M6 18h6.500" /><rect x="15" y="9" width="6" height="10.500" rx="1.500" /></Icon>;
export const Send = () => <Icon><path d="M4.500 12L20 4.500 15.500 20l-3.700-6.200zM11.800 13.800L20 4.500" /></Icon>;
export const Check = () => <Icon><path d="M5 12.500l4.500 4.500L19 7.500" /></Icon>;
export const Door = () => <Icon><path d="M13 4H6v16h7M10.500 12H20M16.500 8.500L20 12l-3.500 3.500" /></Icon>;
export const Calendar = () => <Icon><rect x="4" y="5.500" width="16" height="14.500" rx="2.200" /><path d="M4 10h16M8 3.500v4M16 3.500v4" /></Icon>;
export const Plus = () => <Icon><path d="M12 5v14M5 12h14" /></Icon>;

/** Three bars of rising height; as many are filled as the grade deserves. */
export function Bars({ filled }: { filled: number }) {
  return (
    <svg class="bars" viewBox="0 0 14 12" aria-hidden="true">
      {[0, 1, 2].map((i) => (
        <rect key={i} class={i < filled ? "on" : "off"} x={i * 5} y={8 - i * 4} width="3.500" height={4 + i * 4} rx="1" />
      ))}
    </svg>
  );
}
