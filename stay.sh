if [ "$1" = stay ]; then
    sh -c 'echo $$ >child; : >started; read x <never'
    echo never
fi
until [ -e started ]; do :; done
exit 3
