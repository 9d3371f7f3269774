// Headlamp is a stand-in for Headlamp's server, which the lab cannot get: at :4466 a page with a login,
// and below /clusters/main/ the apiserver, to which it passes a user's own token and never the Pod's.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

const (
	ca  = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"
	api = "/clusters/main"
)

//go:embed page.html
var page []byte

func main() {
	pem, err := os.ReadFile(ca)
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		log.Fatalf("%s has no certificate", ca)
	}
	apiserver := &url.URL{Scheme: "https", Host: net.JoinHostPort(
		os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(apiserver)
			r.Out.URL.Path = strings.TrimPrefix(r.In.URL.Path, api)
			r.Out.URL.RawPath = ""
		},
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}},
	}
	mux := http.NewServeMux()
	mux.Handle(api+"/", proxy)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(page)
	})
	server := &http.Server{Addr: ":4466", Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	ended, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	go func() {
		<-ended.Done()
		_ = server.Shutdown(context.Background())
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
}
