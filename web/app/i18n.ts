// Texts in two languages. English is the reference: a key that the other one
// lacks does not compile.

import { signal } from "@preact/signals";
import { prefs } from "./prefs";

const en = {
  tagline: "Meetings in the browser, on your own server.",
  roomName: "Room name",
  startMeeting: "Start meeting",
  ownRoom: "Pick a name, open the room, send the link. Nothing to install.",
  copyLink: "Copy link",
  copied: "Link copied",
  copyFailed: "Could not copy. The link is:",
  yourName: "Your name",
  guest: "Guest",
  ready: "Ready?",
  inRoom: "{n} in the room",
  nobodyYet: "Nobody is here yet",
  join: "Join",
  joining: "Joining…",
  mute: "Mute",
  unmute: "Unmute",
  stopVideo: "Stop video",
  startVideo: "Start video",
  shareScreen: "Share screen",
  stopSharing: "Stop sharing",
  leave: "Leave",
  people: "People",
  settings: "Settings",
  grid: "Grid view",
  speakerView: "Speaker view",
  camera: "Camera",
  microphone: "Microphone",
  speaker: "Loudspeaker",
  systemDefault: "System default",
  noCamera: "No camera",
  noMicrophone: "No microphone",
  cameraOff: "Camera is off",
  micLevel: "Microphone level",
  language: "Language",
  close: "Close",
  you: "you",
  pin: "Pin {name}",
  unpin: "Unpin {name}",
  mutedMark: "Muted",
  away: "reconnecting",
  screenOf: "Screen of {name}",
  yourScreen: "You are sharing your screen",
  qualityGood: "Connection: good",
  qualityFair: "Connection: fair",
  qualityPoor: "Connection: poor",
  qualityUnknown: "Connection: not measured",
  reconnecting: "Connection lost. Reconnecting…",
  mediaLost: "Audio and video are interrupted. Trying again…",
  clickToHear: "Click to hear the others",
  waiting: "You are the first one here. Send the link to the others.",
  joinedNote: "{name} came in",
  leftNote: "{name} left",
  mutedByOther: "A moderator muted you",
  cameraDenied: "The browser has no permission for the camera. Allow it beside the address bar.",
  cameraBusy: "The camera is used by another program.",
  cameraMissing: "No camera found.",
  microphoneDenied: "The browser has no permission for the microphone. Allow it beside the address bar.",
  microphoneBusy: "The microphone is used by another program.",
  microphoneMissing: "No microphone found.",
  screenDenied: "The screen was not shared.",
  screenTaken: "Someone else is sharing a screen already.",
  notSecure: "Camera and microphone need a secure address (https, or localhost).",
  deviceFailed: "The device could not be opened.",
  noMediaHint: "You can join without, and watch and listen.",
  endLeft: "You left the room",
  endReplaced: "This room was opened in another tab",
  endEnded: "The meeting has ended",
  endShutdown: "The server is shutting down",
  endAuth: "You need an invitation",
  endAuthHint: "The link is not valid or has expired. Ask the host for a new one.",
  endForbidden: "You are not allowed in this room",
  endLocked: "The room is locked",
  endFull: "The room is full",
  endUnreachable: "The server cannot be reached",
  endFailed: "Something went wrong",
  back: "Back to the room",
  home: "Start page",
  notFound: "There is nothing at this address",
  actionFailed: "That did not work ({reason}).",
  theRoom: "Room",
  ownerHere: "You are signed in as the owner of this server",
};

export type Key = keyof typeof en;

const zh: Record<Key, string> = {
  tagline: "在浏览器里开会，用自己的服务器。",
  roomName: "会议室名称",
  startMeeting: "开始会议",
  ownRoom: "起个名字，打开会议室，把链接发给别人。无需安装。",
  copyLink: "复制链接",
  copied: "链接已复制",
  copyFailed: "无法复制，链接是：",
  yourName: "您的名字",
  guest: "访客",
  ready: "准备好了吗？",
  inRoom: "会议室中有 {n} 人",
  nobodyYet: "还没有人在这里",
  join: "加入",
  joining: "正在加入…",
  mute: "静音",
  unmute: "取消静音",
  stopVideo: "关闭视频",
  startVideo: "开启视频",
  shareScreen: "共享屏幕",
  stopSharing: "停止共享",
  leave: "离开",
  people: "参会者",
  settings: "设置",
  grid: "网格视图",
  speakerView: "演讲者视图",
  camera: "摄像头",
  microphone: "麦克风",
  speaker: "扬声器",
  systemDefault: "系统默认",
  noCamera: "没有摄像头",
  noMicrophone: "没有麦克风",
  cameraOff: "摄像头已关闭",
  micLevel: "麦克风音量",
  language: "语言",
  close: "关闭",
  you: "我",
  pin: "固定 {name}",
  unpin: "取消固定 {name}",
  mutedMark: "已静音",
  away: "正在重连",
  screenOf: "{name} 的屏幕",
  yourScreen: "您正在共享屏幕",
  qualityGood: "连接：良好",
  qualityFair: "连接：一般",
  qualityPoor: "连接：较差",
  qualityUnknown: "连接：尚未测量",
  reconnecting: "连接已断开，正在重新连接…",
  mediaLost: "音视频中断，正在重试…",
  clickToHear: "点击以听到其他人",
  waiting: "您是第一位参会者，把链接发给其他人吧。",
  joinedNote: "{name} 加入了会议",
  leftNote: "{name} 离开了会议",
  mutedByOther: "主持人已将您静音",
  cameraDenied: "浏览器没有摄像头权限，请在地址栏旁允许。",
  cameraBusy: "摄像头正被其他程序使用。",
  cameraMissing: "未找到摄像头。",
  microphoneDenied: "浏览器没有麦克风权限，请在地址栏旁允许。",
  microphoneBusy: "麦克风正被其他程序使用。",
  microphoneMissing: "未找到麦克风。",
  screenDenied: "屏幕未被共享。",
  screenTaken: "已有其他人在共享屏幕。",
  notSecure: "摄像头和麦克风需要安全地址（https 或 localhost）。",
  deviceFailed: "无法打开设备。",
  noMediaHint: "您仍可加入会议，观看和收听。",
  endLeft: "您已离开会议室",
  endReplaced: "此会议室已在另一个标签页中打开",
  endEnded: "会议已结束",
  endShutdown: "服务器正在关闭",
  endAuth: "您需要邀请",
  endAuthHint: "链接无效或已过期，请向主持人索取新的链接。",
  endForbidden: "您无权进入此会议室",
  endLocked: "会议室已锁定",
  endFull: "会议室已满",
  endUnreachable: "无法连接服务器",
  endFailed: "出错了",
  back: "返回会议室",
  home: "首页",
  notFound: "此地址没有内容",
  actionFailed: "操作未成功（{reason}）。",
  theRoom: "会议室",
  ownerHere: "您已以服务器所有者身份登录",
};

export type Lang = "en" | "zh";
export const languages: { id: Lang; name: string }[] = [
  { id: "en", name: "English" },
  { id: "zh", name: "简体中文" },
];

function detect(): Lang {
  const kept = prefs.get("lang");
  if (kept === "en" || kept === "zh") return kept;
  return (navigator.languages?.[0] ?? navigator.language ?? "en").toLowerCase().startsWith("zh") ? "zh" : "en";
}

export const lang = signal<Lang>(detect());

export function setLang(l: Lang): void {
  lang.value = l;
  prefs.set("lang", l);
}

lang.subscribe((l) => {
  document.documentElement.lang = l === "zh" ? "zh-CN" : "en";
});

/** The text of a key in the chosen language, with {placeholders} filled in. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  const text = (lang.value === "zh" ? zh : en)[key];
  return text.replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ""));
}
