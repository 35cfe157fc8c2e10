# docker build -t parley . && docker run --network host -v parley:/data parley
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=container
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.Version=${VERSION}" -o /parley ./cmd/parley && mkdir /data

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends libopus0 libvpx7 libopenh264-7 libdav1d6 && rm -rf /var/lib/apt/lists/*
COPY --from=build /parley /parley
COPY --from=build --chown=65532:65532 /data /data
USER 65532
VOLUME /data
EXPOSE 8443/tcp 7800-7815/udp
ENTRYPOINT ["/parley"]
CMD ["serve", "--data", "/data"]
