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
